"""Single-spike neurons (lower bound -1), fine-tuned by NMT."""

from experiment import Row, run

if __name__ == "__main__":
    run(Row("single-nmt", "nmt", neuron="single-spike"))
