"""Single-spike neurons trained by MTT from the first weights, every stage at T up to 40."""

from experiment import Row, run

if __name__ == "__main__":
    run(
        Row(
            "long-mtt",
            "mtt",
            neuron="single-spike",
            epochs=50,
            finetune_t=40,
            from_scratch=True,
            sampler="uniform",
        )
    )
