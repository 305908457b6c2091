"""How programs, data sets and boards look in an interpreter and in a notebook."""

import numpy as np
from virtual_boards import single_core

import speckflex as sf
from speckflex.data import open_dataset


def test_a_program_is_one_line_and_a_table():
    program = single_core()
    core = program.cores[0]
    taken, given = ("x".join(map(str, shape)) for shape in (program.input.shape, core.output_shape))
    assert repr(program) == (
        f"<Program {program.sha256[:12]} for speck2e: 1 layers, {taken} -> {given}>"
    )
    assert f"<td>{core.threshold_low} to {core.threshold_high}</td>" in program._repr_html_()


def test_a_data_set_is_one_line_and_counts_its_classes():
    dataset = open_dataset("synthetic-digits", limit=12)
    assert repr(dataset).endswith(": 12 recordings of 10 classes, 2x34x34, synthetic>")
    counts = np.bincount(dataset.labels, minlength=10)
    rows = "".join(f"<tr><td>{i}</td><td>{i}</td><td>{n}</td></tr>" for i, n in enumerate(counts))
    assert rows in dataset._repr_html_()


def test_a_board_says_what_it_is_and_whether_it_is_open():
    with sf.open_board("twin") as board:
        assert repr(board) == "<Twin board twin, open>"
    assert repr(board) == "<Twin board twin, closed>"
    assert "software twin, no hardware" in board._repr_html_()
