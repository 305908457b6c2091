"""Multi-spike neurons with a low lower bound, fine-tuned by NMT."""

from experiment import Row, run

if __name__ == "__main__":
    run(
        Row(
            "deep-nmt",
            "nmt",
            lower_bound=-8.0,
            clip_weights=True,
            upsampling="spread",
            output="total",
        )
    )
