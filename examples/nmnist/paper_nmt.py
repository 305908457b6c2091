"""Multi-spike neurons as in the paper (lower bound -1), fine-tuned by NMT."""

from experiment import Row, run

if __name__ == "__main__":
    run(Row("paper-nmt", "nmt"))
