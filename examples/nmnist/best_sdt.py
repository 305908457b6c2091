"""As deep_sdt, with synthetic recordings besides."""

from experiment import Row, run

if __name__ == "__main__":
    run(
        Row(
            "best-sdt",
            "sdt",
            lower_bound=-8.0,
            clip_weights=True,
            epochs=25,
            finetune_epochs=4,
            synthetic=True,
            eight_bit=True,
        )
    )
