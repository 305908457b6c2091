"""Multi-spike neurons with a low lower bound, fine-tuned by MTT."""

from experiment import Row, run

if __name__ == "__main__":
    run(
        Row(
            "deep-mtt",
            "mtt",
            lower_bound=-8.0,
            clip_weights=True,
            upsampling="spread",
            output="total",
        )
    )
