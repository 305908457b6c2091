"""Multi-spike neurons with a low lower bound, fine-tuned by SDT."""

from experiment import Row, run

if __name__ == "__main__":
    run(Row("deep-sdt", "sdt", lower_bound=-8.0, clip_weights=True))
