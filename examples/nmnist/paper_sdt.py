"""Multi-spike neurons as in the paper (lower bound -1), fine-tuned by SDT."""

from experiment import Row, run

if __name__ == "__main__":
    run(Row("paper-sdt", "sdt"))
