"""Multi-spike neurons with a deep lower bound and potential voting, fine-tuned by MTT."""

from experiment import Row, run

if __name__ == "__main__":
    run(Row("deep-mtt", "mtt", voting="potential", lower_bound=-8.0, clip_weights=True))
