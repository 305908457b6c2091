"""Low lower bound, base with synthetic recordings too, fine-tuned by MTT at T 40."""

from experiment import Row, run

if __name__ == "__main__":
    run(
        Row(
            "best-mtt",
            "mtt",
            lower_bound=-8.0,
            clip_weights=True,
            upsampling="spread",
            output="total",
            epochs=25,
            finetune_epochs=10,
            finetune_t=40,
            finetune_rate=1e-3,
            synthetic=True,
        )
    )
