"""Calls that a type checker accepts, and calls with a fault that it must find.

`make check` reads this file and never runs it. An error that is expected has a comment that ignores
it; where the type checker finds no error, the comment itself is one.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true, reportUnusedExpression=false

from pathlib import Path

from speckflex import (
    ConversionOptions,
    DeploySettings,
    TwinSettings,
    compare,
    convert,
    deploy,
    evaluate,
    finetune,
    fold,
    open_board,
    read_model,
)
from speckflex.boards import Board
from speckflex.boards.twin import Twin
from speckflex.recordings.recording import Recording
from speckflex.training import TrainingSettings


def right_calls(name: str, settings: dict[str, object]) -> tuple[Twin, Board]:
    twin = open_board("twin", threads=1, settings=TwinSettings(output_order="yxc"))
    open_board("virtual:speck2e", speed=1.0, silence=20.0, reset="model")
    network = fold("model.pt", input_shape=(2, 34, 34))
    convert(network, (2, 34, 34), chip="speck2f", options=ConversionOptions(keep_state=True))
    read_model("model.pt", chip="speck2f", options=ConversionOptions(), cores={"conv": 3})
    deploy("model.pt", "digits", "twin", samples=4, settings=DeploySettings(bins=5))
    evaluate("model.pt", "digits", timesteps=(1, 2))
    finetune("model.pt", "digits", TrainingSettings(method="mtt"), samples=10)
    return twin, open_board(name)


def wrong_calls(first: Recording) -> None:
    open_board("twin", thread=1)  # pyright: ignore[reportCallIssue]
    open_board("twin", threads="1")  # pyright: ignore[reportArgumentType, reportCallIssue]
    open_board("speck2e:0", silent=1.0)  # pyright: ignore[reportCallIssue]
    open_board("virtual:speck2e", reset="all")  # pyright: ignore[reportArgumentType]
    read_model("model.pt", chips="speck2f")  # pyright: ignore[reportCallIssue]
    read_model("model.pt", core={"conv": 3})  # pyright: ignore[reportCallIssue]
    fold("model.pt", shape=(2, 34, 34))  # pyright: ignore[reportCallIssue]
    convert(fold("model.pt"), (2, 34, 34), option=None)  # pyright: ignore[reportCallIssue]
    ConversionOptions(keep_states=True)  # pyright: ignore[reportCallIssue]
    deploy(Path("model.pt"), "digits", sample=4)  # pyright: ignore[reportCallIssue]
    DeploySettings(bin=5)  # pyright: ignore[reportCallIssue]
    evaluate("model.pt", "digits", time_steps=(1, 2))  # pyright: ignore[reportCallIssue]
    finetune("model.pt", "digits", TrainingSettings(epoch=3))  # pyright: ignore[reportCallIssue]
    finetune("model.pt", "digits", sample=3)  # pyright: ignore[reportCallIssue]
    TrainingSettings(upsampling="copied")  # pyright: ignore[reportArgumentType]
    compare(first)  # pyright: ignore[reportCallIssue]
