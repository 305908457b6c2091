"""Single-spike neurons (lower bound -1), fine-tuned by MTT."""

from experiment import Row, run

if __name__ == "__main__":
    run(Row("single-mtt", "mtt", neuron="single-spike"))
