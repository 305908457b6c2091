"""Single-spike neurons trained by NMT from the first weights, at uniform T up to 40."""

from experiment import Row, run

if __name__ == "__main__":
    run(
        Row(
            "long-nmt",
            "nmt",
            neuron="single-spike",
            epochs=50,
            finetune_t=40,
            from_scratch=True,
        )
    )
