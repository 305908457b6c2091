"""Deep lower bound, potential voting and synthetic recordings besides, fine-tuned by SDT."""

from experiment import Row, run

if __name__ == "__main__":
    run(
        Row(
            "best-sdt",
            "sdt",
            voting="potential",
            lower_bound=-8.0,
            clip_weights=True,
            epochs=20,
            finetune_epochs=10,
            synthetic=True,
        )
    )
