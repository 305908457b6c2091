"""Model files that attack, or are damaged."""

import builtins
import functools
import io
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from sinabs import layers as sl
from torch import nn

from speckflex.errors import FileFormatError, NetworkError, SpeckflexError
from speckflex.networks import _pickle_machine, _tracer, torch_file
from speckflex.networks.files import load_network, save_network
from speckflex.networks.trace import trace


class _Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def _network(**extra) -> nn.Sequential:
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False), sl.IAFSqueeze(batch_size=1), nn.Flatten()
    )
    vars(network[0]).update(extra)
    return network


def _refusal(path: Path, kind: type[SpeckflexError] = SpeckflexError) -> str:
    """Return the message that loading ends with, after checking that it is a single line."""
    with pytest.raises(kind) as caught:
        load_network(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def _attacks(marker: Path) -> dict[str, tuple[object, str]]:
    touch = f"open({str(marker)!r}, 'w').close()"
    return {
        "os.system": (_Calls(os.system, f"touch {marker}"), "posix.system"),
        "eval": (_Calls(builtins.eval, touch), "builtins.eval"),
        "exec": (_Calls(builtins.exec, touch), "builtins.exec"),
        "getattr": (_Calls(builtins.getattr, nn.Linear, "forward"), "builtins.getattr"),
        "partial": (functools.partial(os.system, f"touch {marker}"), "functools.partial"),
        "open": (_Calls(open, str(marker), "w"), "io.open"),
        "hub": (_Calls(torch.hub.load, str(marker), "x"), "torch.hub.load"),
    }


ATTACKS = tuple(_attacks(Path()))


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("place", ["alone", "in a state dict", "in a layer"])
def test_a_global_that_runs_code_is_named_and_never_called(attack, place, tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "attack.pt"
    payload, name = _attacks(marker)[attack]
    content = {
        "alone": payload,
        "in a state dict": {"state_dict": {"weight": torch.zeros(2), "more": payload}},
        "in a layer": _network(more=payload),
    }[place]
    torch.save(content, path)
    message = _refusal(path, NetworkError)
    assert name in message
    assert not marker.exists()


def test_the_attacks_would_work_with_an_ordinary_unpickler(tmp_path):
    marker = tmp_path / "marker"
    pickle.loads(pickle.dumps(_attacks(marker)["eval"][0]))
    assert marker.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("attack", ["os.system", "eval", "partial"])
def test_a_bare_pickle_of_any_protocol_is_refused_by_its_global(attack, protocol, tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "attack.pt"
    payload, name = _attacks(marker)[attack]
    path.write_bytes(pickle.dumps(payload, protocol=protocol))
    message = _refusal(path)
    # protocols 0 and 1 have no mark, so that such a file is of no known kind
    assert name.split(".")[-1] in message or (protocol < 2 and "no known format" in message)
    assert not marker.exists()


def test_an_attack_in_the_format_before_torch_1_6_is_refused_by_its_global(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "attack.pt"
    payload, name = _attacks(marker)["os.system"]
    torch.save({"weight": torch.zeros(2), "x": payload}, path, _use_new_zipfile_serialization=False)
    assert name in _refusal(path, NetworkError)
    assert not marker.exists()


def test_a_name_hidden_behind_the_memo_is_refused(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "attack.pt"
    # Protocol 4: posix and system lie in the memo, the strings just before the lookup are harmless.
    command = f"touch {marker}".encode()
    body = (
        b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x8c\x0bcollections\x8c\x0bOrderedDict000"
        b"h\x00h\x01\x93\x8c" + bytes([len(command)]) + command + b"\x85R."
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("attack/data.pkl", body)
        archive.writestr("attack/version", "3\n")
    _refusal(path)
    assert not marker.exists()


def _hook(*_: object) -> None:
    raise AssertionError


@pytest.mark.parametrize("hook", [nn.Identity(), _hook])
def test_a_hook_smuggled_into_a_layer_is_refused(hook, tmp_path):
    network = _network()
    network[0].register_forward_hook(hook)
    torch.save(network, tmp_path / "hook.pt")
    assert "hook" in _refusal(tmp_path / "hook.pt", NetworkError)


def test_an_attribute_that_hides_a_method_is_refused_by_the_layers_name(tmp_path):
    torch.save(_network(forward=nn.Identity()), tmp_path / "hidden.pt")
    message = _refusal(tmp_path / "hidden.pt", NetworkError)
    assert "module 0 (Conv2d) hides its own method forward" in message


@pytest.mark.parametrize("key", ["_modules", "_parameters", "_buffers"])
@pytest.mark.parametrize("value", [None, [], {"x": "no tensor and no module"}, {1: None}])
def test_a_layer_with_wrong_registries_is_refused(key, value, tmp_path):
    torch.save(_network(**{key: value}), tmp_path / "wrong.pt")
    assert f"its {key}" in _refusal(tmp_path / "wrong.pt", NetworkError)


def test_a_users_own_layer_is_refused_by_name_with_the_remedy(tmp_path):
    torch.save(nn.Sequential(_Own()), tmp_path / "own.pt")
    message = _refusal(tmp_path / "own.pt", NetworkError)
    assert "_Own" in message
    assert "state dict" in message


class _Own(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)


@pytest.mark.parametrize("name", ["net.nir", "net.onnx", "net.speck"])
def test_a_network_is_not_saved_under_the_suffix_of_another_format(name, tmp_path):
    with pytest.raises(NetworkError, match=r"end its name in \.pt"):
        save_network(_network(), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tenth", range(10))
def test_a_file_cut_at_every_tenth_is_refused_in_one_line(tenth, tmp_path):
    whole, path = tmp_path / "whole.pt", tmp_path / "cut.pt"
    save_network(_network(), whole)
    content = whole.read_bytes()
    path.write_bytes(content[: len(content) * tenth // 10])
    _refusal(path, FileFormatError)


@pytest.mark.parametrize("tenth", range(10))
def test_an_old_file_cut_at_every_tenth_is_refused_in_one_line(tenth, tmp_path):
    whole, path = tmp_path / "whole.pt", tmp_path / "cut.pt"
    torch.save(_network().state_dict(), whole, _use_new_zipfile_serialization=False)
    content = whole.read_bytes()
    path.write_bytes(content[: len(content) * tenth // 10])
    _refusal(path, FileFormatError)


def test_flipped_bytes_never_give_another_error_than_ours(tmp_path, rng):
    whole, path = tmp_path / "whole.pt", tmp_path / "flipped.pt"
    save_network(_network(), whole)
    content = np.frombuffer(whole.read_bytes(), np.uint8)
    for _ in range(150):
        flipped = content.copy()
        flipped[rng.integers(content.size, size=3)] = rng.integers(256, size=3)
        path.write_bytes(flipped.tobytes())
        try:
            load_network(path)
        except SpeckflexError as error:
            assert "\n" not in str(error)  # noqa: PT017 - an intact load is as good


def test_damage_inside_the_pickle_never_gives_another_error_than_ours(tmp_path, rng):
    whole, path = tmp_path / "whole.pt", tmp_path / "damaged.pt"
    save_network(_network(), whole)
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in members if name.endswith("data.pkl"))
    for _ in range(400):
        damaged = bytearray(members[name])
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in (members | {name: bytes(damaged)}).items():
                archive.writestr(member, content)
        try:
            load_network(path)
        except SpeckflexError as error:
            assert "\n" not in str(error)  # noqa: PT017 - an intact load is as good


@pytest.mark.parametrize("place", ["module", "state dict"])
def test_a_tensor_that_repeats_one_number_to_any_size_is_refused(place, tmp_path):
    path = tmp_path / "expanded.pt"
    weight = torch.zeros(1).as_strided((2**20, 2**20), (0, 0))
    network = _network()
    network[0].weight = nn.Parameter(weight, requires_grad=False)
    torch.save(network if place == "module" else {"weight": weight}, path)
    assert "no plain tensor" in _refusal(path, NetworkError)


def test_a_layer_without_one_of_its_settings_is_refused(tmp_path):
    network = _network()
    del network[0].stride
    torch.save(network, tmp_path / "incomplete.pt")
    assert "it has no stride" in _refusal(tmp_path / "incomplete.pt", NetworkError)


def test_neurons_without_one_of_their_settings_are_refused(tmp_path):
    network = _network()
    del network[1].reset_fn
    torch.save(network, tmp_path / "incomplete.pt")
    assert "it has no complete set of sinabs' settings" in _refusal(
        tmp_path / "incomplete.pt", NetworkError
    )


def test_a_network_nested_without_end_is_refused(tmp_path):
    network = nn.Sequential(nn.Linear(2, 2))
    for _ in range(60):
        network = nn.Sequential(network)
    torch.save(network, tmp_path / "deep.pt")
    assert "50 containers deep" in _refusal(tmp_path / "deep.pt", NetworkError)


def _pickled(*instructions: bytes) -> bytes:
    return b"\x80\x02" + b"".join(instructions) + b"."


def _called(module: str, name: str, *numbers: int) -> bytes:
    """Return the instructions that call a function of a module with numbers."""
    arguments = b"".join(b"J" + struct.pack("<i", number) for number in numbers)
    return f"c{module}\n{name}\n".encode() + b"(" + arguments + b"tR"


def _nested_tuples() -> bytes:
    """Return a dict whose key is a tuple of tuples, which would be hashed 10 ** 24 times."""
    doubled = [b"(" + (b"h" + bytes([n - 1])) * 10 + b"tq" + bytes([n]) for n in range(1, 25)]
    return b")q\x00" + b"".join(doubled) + b"}h" + bytes([24]) + b"Ns"


def _range(stop: int) -> bytes:
    return _called("builtins", "xrange", stop)


def _called_on(module: str, name: str, argument: bytes) -> bytes:
    return f"c{module}\n{name}\n".encode() + argument + b"\x85R"


def _keys_of_one_hash(n: int) -> bytes:
    """Return a dict of n numbers that all have the hash 0, which are found in n * n steps."""
    numbers = (k * (2**61 - 1) for k in range(1, n + 1))
    pairs = (b"\x8a\x0c" + number.to_bytes(12, "little") + b"N" for number in numbers)
    return b"}(" + b"".join(pairs) + b"u"


def _tuples_of_one_hash(depth: int) -> bytes:
    """Return a dict of tuples of -1 and -2, which have the same hash."""
    ones = [b"J" + struct.pack("<i", -1), b"J" + struct.pack("<i", -2)]
    keys = (
        b"(" + b"".join(ones[number >> bit & 1] for bit in range(depth)) + b"tN"
        for number in range(2**depth)
    )
    return b"}(" + b"".join(keys) + b"u"


def _calls_over_one_list(n: int, module: str, name: str) -> bytes:
    """Return n calls over one list of n texts."""
    items = b"](" + b"".join(b"U\x06%06d" % k for k in range(n)) + b"eq\x000"
    return items + b"](" + _called_on(module, name, b"h\x00") * n + b"e"


def _copies_of_bytes(n: int) -> bytes:
    text = b"B" + struct.pack("<I", 10**7) + bytes(10**7) + b"q\x000"
    return text + b"](" + _called_on("builtins", "bytearray", b"h\x00") * n + b"e"


LINEAR = ("torch.nn.modules.linear", "Linear")
HUNGRY = {
    "a layer of 8 GB": _pickled(_called(*LINEAR, 46000, 46000)),
    "a layer without end": _pickled(_called("torch.nn.modules.rnn", "LSTM", 4, 4, 10**9)),
    "a tensor of 20 GB": _pickled(_called("torch", "FloatTensor", 70000, 70000)),
    "bytes of 2 GB": _pickled(_called("builtins", "bytearray", 2**31 - 1)),
    "a memo of 2 ** 31 places": _pickled(b"N", b"r" + struct.pack("<I", 2**31 - 1)),
    "a hash without end": _pickled(_nested_tuples()),
    "a text in a slow code": _pickled(b"c_codecs\nencode\n(U\x01aU\x04idnatR"),
    "tuples 200 000 deep": _pickled(b")", b"\x85" * 200_000),
    "a list of a range": _pickled(_called_on("collections", "deque", _range(2**31 - 1))),
    "a set of a range": _pickled(_called_on("builtins", "set", _range(2**31 - 1))),
    "a size of a range": _pickled(_called_on("torch", "Size", _range(2**31 - 1))),
    "numbers of one hash": _pickled(_keys_of_one_hash(20_000)),
    "a memo of one hash": _pickled(
        b"N", b"".join(b"p%d\n" % (k * (2**61 - 1)) for k in range(20_000))
    ),
    "tuples of one hash": _pickled(_tuples_of_one_hash(14)),
    "a set of one hash": _pickled(
        _called_on(
            "builtins", "set", b"](" + _tuples_of_one_hash(14)[2:-1].replace(b"tN", b"t") + b"e"
        )
    ),
    "sets over one list": _pickled(_calls_over_one_list(5_000, "builtins", "set")),
    "copies of bytes": _pickled(_copies_of_bytes(100)),
    "a storage of 10 GB": _pickled(
        b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuJ", struct.pack("<i", 2**31 - 1), b"tQ"
    ),
}


@pytest.mark.parametrize("content", HUNGRY)
def test_a_small_pickle_that_asks_for_much_takes_neither_time_nor_memory(content, tmp_path):
    path = tmp_path / "hungry.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hungry/data.pkl", HUNGRY[content])
        archive.writestr("hungry/data/0", bytes(4))
    tracemalloc.start()
    begin = time.process_time()
    try:
        _refusal(path)
        assert time.process_time() - begin < 20
        assert tracemalloc.get_traced_memory()[1] < 500e6
    finally:
        tracemalloc.stop()


def test_a_pickle_of_too_many_instructions_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_pickle_machine, "MOST_INSTRUCTIONS", 20)
    torch.save({str(n): n for n in range(20)}, tmp_path / "long.pt")
    assert "more than 20 instructions" in _refusal(tmp_path / "long.pt", FileFormatError)


def test_a_zip_with_two_pickles_is_refused(tmp_path):
    path = tmp_path / "two.pt"
    torch.save({"weight": torch.ones(2)}, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", pickle.dumps({}, protocol=2))
    assert "2 data.pkl" in _refusal(path, FileFormatError)


@pytest.mark.parametrize("member", ["data/0", "byteorder"])
def test_a_zip_without_what_its_pickle_needs_is_refused(member, tmp_path):
    whole, path = tmp_path / "whole.pt", tmp_path / "other.pt"
    torch.save({"weight": torch.ones(2)}, whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if not name.endswith(member):
                new.writestr(name, old.read(name))
            elif member == "byteorder":
                new.writestr(name, "big")
    _refusal(path, FileFormatError)


def test_a_compiled_call_hidden_in_a_layer_is_refused(tmp_path, monkeypatch):
    network = _network(_compiled_call_impl=nn.Identity())
    monkeypatch.setattr(nn.Module, "__getstate__", lambda module: dict(vars(module)))
    torch.save(network, tmp_path / "compiled.pt")
    assert "_compiled_call_impl" in _refusal(tmp_path / "compiled.pt", NetworkError)


def test_a_network_that_holds_itself_is_refused(tmp_path):
    network = _network()
    network._modules["again"] = network
    torch.save(network, tmp_path / "itself.pt")
    assert "holds itself" in _refusal(tmp_path / "itself.pt", NetworkError)


@pytest.mark.parametrize("key", ["spike_threshold", "min_v_mem"])
@pytest.mark.parametrize("value", [torch.tensor(float("nan")), "x", 3, torch.tensor(1)])
def test_a_setting_that_is_no_number_is_refused(key, value, tmp_path):
    network = _network()
    network[1]._parameters.pop(key, None)
    vars(network[1])[key] = value
    torch.save(network, tmp_path / "setting.pt")
    assert f"has a {key}" in _refusal(tmp_path / "setting.pt", NetworkError)


@pytest.mark.parametrize(
    "content", [b"", b"weights: none\n", b"\x00" * 100, b"PK\x03\x04", b"\x80\x02", b"\x89PNG"]
)
def test_a_file_of_another_kind_is_refused(content, tmp_path):
    path = tmp_path / "other.pt"
    path.write_bytes(content)
    _refusal(path, FileFormatError)


def test_an_empty_file_is_called_empty(tmp_path):
    (tmp_path / "empty.pt").touch()
    assert "is empty" in _refusal(tmp_path / "empty.pt", FileFormatError)


def test_a_zip_that_is_no_torch_file_is_refused(tmp_path):
    np.savez(tmp_path / "arrays.npz", weight=np.zeros(3))
    assert "numpy arrays" in _refusal(tmp_path / "arrays.npz", FileFormatError)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.pt"
    zeros = bytes(2**24)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", pickle.dumps(OrderedDict(), protocol=2))
        archive.writestr("bomb/data/0", zeros)
    assert "unpack to" in _refusal(path, FileFormatError)


def test_a_file_that_claims_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    save_network(_network(), tmp_path / "large.pt")
    monkeypatch.setattr(torch_file, "MAX_UNPACKED_BYTES", 1000)
    assert "more than 1000" in _refusal(tmp_path / "large.pt", FileFormatError)


def test_a_pickle_beyond_its_limit_is_refused(tmp_path, monkeypatch):
    save_network(_network(), tmp_path / "large.pt")
    monkeypatch.setattr(torch_file, "MAX_PICKLE_BYTES", 100)
    assert "more than 100 bytes" in _refusal(tmp_path / "large.pt", FileFormatError)


def test_a_member_that_lies_about_its_size_is_refused(tmp_path):
    path = tmp_path / "lie.pt"
    buffer = io.BytesIO()
    torch.save(_network(), buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(member, old.read(member))
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    path.write_bytes(content[: start + 24] + struct.pack("<I", 1) + content[start + 28 :])
    _refusal(path, FileFormatError)


def test_a_torchscript_archive_is_named_as_such(tmp_path):
    path = tmp_path / "script.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("script/data.pkl", pickle.dumps(None, protocol=2))
        archive.writestr("script/constants.pkl", pickle.dumps((), protocol=2))
    assert "TorchScript" in _refusal(path, FileFormatError)


def test_numpy_numbers_in_a_layer_come_back_as_pythons_own(tmp_path):
    network = _network(stride=(np.int64(2), np.int32(1)), scale=np.float32(0.5))
    torch.save(network, tmp_path / "numpy.pt")
    layer = load_network(tmp_path / "numpy.pt")[0]
    assert layer.stride == (2, 1)
    assert [type(value) for value in (*layer.stride, layer.scale)] == [int, int, float]


def test_numpy_objects_are_refused(tmp_path):
    torch.save(_network(more=np.array([_Own], dtype=object)), tmp_path / "objects.pt")
    _refusal(tmp_path / "objects.pt")


def test_a_network_with_a_foreign_class_is_not_saved(tmp_path):
    with pytest.raises(NetworkError, match="_Own, which is no layer"):
        save_network(nn.Sequential(_Own()), tmp_path / "own.pt")
    assert not list(tmp_path.iterdir())


def test_loading_leaves_torchs_own_list_of_safe_classes_alone(tmp_path):
    before = torch.serialization.get_safe_globals()
    save_network(_network(), tmp_path / "model.pt")
    load_network(tmp_path / "model.pt")
    assert torch.serialization.get_safe_globals() == before


ABSURD = {
    "a stride of 0": (0, "stride", (0, 0)),
    "a stride that is a text": (0, "stride", "ab"),
    "a padding that fills the memory": (0, "padding", (10**6, 10**6)),
    "groups of 0": (0, "groups", 0),
    "a dilation without end": (0, "dilation", (10**9, 1)),
    "a kernel of another size": (0, "kernel_size", (7, 7)),
    "other channels": (0, "in_channels", 99),
    "an axis that is a text": (2, "start_dim", "x"),
    "a batch size that is a text": (1, "batch_size", "x"),
    "a batch size without end": (1, "batch_size", 10**18),
    "a class as spike function": (1, "spike_fn", set),
    "a layer as spike function": (1, "spike_fn", nn.Linear(3, 3)),
    "a layer as surrogate": (1, "surrogate_grad_fn", nn.Linear(3, 3)),
    "no reset function": (1, "reset_fn", None),
}


@pytest.mark.parametrize("what", ABSURD)
def test_an_absurd_attribute_is_refused_in_one_line_by_its_name(what, tmp_path):
    place, name, value = ABSURD[what]
    network = _network()
    vars(network[place])[name] = value
    torch.save(network, tmp_path / "absurd.pt")
    assert f"module {place} " in _refusal(tmp_path / "absurd.pt")


@pytest.mark.parametrize(
    "weight",
    [
        None,
        torch.zeros(4, 2, 3, 3, dtype=torch.int8),
        torch.zeros(4, 2, 3, 3, dtype=torch.complex64),
        torch.zeros(4, 2, 3),
        torch.zeros(0, 2, 3, 3),
    ],
)
def test_weights_that_do_not_fit_their_layer_are_refused(weight, tmp_path):
    network = _network()
    network[0]._parameters["weight"] = (
        None if weight is None else nn.Parameter(weight, requires_grad=False)
    )
    torch.save(network, tmp_path / "weights.pt")
    assert "(Conv2d) has a weight of" in _refusal(tmp_path / "weights.pt")


def test_a_forward_pass_that_fills_the_memory_is_stopped(monkeypatch):
    monkeypatch.setattr(_tracer, "MOST_VALUES", 10_000)
    layers = [nn.Conv2d(1, 1, 1, padding=10, bias=False) for _ in range(20)]
    with pytest.raises(NetworkError, match=r"makes \d+ values of one sample, at most 10000"):
        trace(nn.Sequential(*layers), (1, 4, 4))


def _tensor_in(storage_type: str, count: int) -> bytes:
    """Return the instructions for a tensor over the whole of storage 0."""
    storage = (
        f"(U\x07storagectorch\n{storage_type}\n".encode() + b"U\x010U\x03cpuK" + bytes([count])
    )
    place = b"K\x00K" + bytes([count]) + b"\x85K\x01\x85\x89N"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"tQ" + place + b"tR"


def test_numbers_that_are_read_as_several_types_lie_in_memory_once(tmp_path):
    numbers = np.arange(4, dtype="<f4")
    types = [("FloatStorage", 4), ("IntStorage", 4), ("ByteStorage", 16), ("DoubleStorage", 2)]
    tensors = b"".join(_tensor_in(*one) for one in types)
    with zipfile.ZipFile(tmp_path / "types.pt", "w") as archive:
        archive.writestr("a/data.pkl", _pickled(b"](", tensors, b"e"))
        archive.writestr("a/data/0", numbers.tobytes())
    values = torch_file.read_torch_file(tmp_path / "types.pt").value
    assert len({value.untyped_storage().data_ptr() for value in values}) == 1
    for value, dtype in zip(values, ("<f4", "<i4", "u1", "<f8"), strict=True):
        assert value.tolist() == numbers.view(dtype).tolist()
