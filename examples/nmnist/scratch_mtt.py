"""Single-spike neurons trained by MTT from the first weights."""

from experiment import Row, run

if __name__ == "__main__":
    run(Row("scratch-mtt", "mtt", neuron="single-spike", epochs=50, from_scratch=True))
