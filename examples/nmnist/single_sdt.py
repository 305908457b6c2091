"""Single-spike neurons (lower bound -1), fine-tuned by SDT."""

from experiment import Row, run

if __name__ == "__main__":
    run(Row("single-sdt", "sdt", neuron="single-spike"))
