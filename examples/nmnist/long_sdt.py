"""Single-spike neurons trained by SDT from the first weights, at T 40."""

from experiment import Row, run

if __name__ == "__main__":
    run(
        Row(
            "long-sdt",
            "sdt",
            neuron="single-spike",
            epochs=50,
            finetune_t=40,
            from_scratch=True,
        )
    )
