"""Low lower bound, base with synthetic recordings too, fine-tuned by SDT at T 40."""

from experiment import Row, run

if __name__ == "__main__":
    run(
        Row(
            "best-sdt",
            "sdt",
            lower_bound=-8.0,
            clip_weights=True,
            epochs=25,
            finetune_epochs=10,
            finetune_t=40,
            finetune_rate=1e-3,
            synthetic=True,
        )
    )
