"""Multi-spike neurons with a deep lower bound and potential voting, fine-tuned by NMT."""

from experiment import Row, run

if __name__ == "__main__":
    run(Row("deep-nmt", "nmt", voting="potential", lower_bound=-8.0, clip_weights=True))
