"""Single-spike neurons trained by SDT from the first weights."""

from experiment import Row, run

if __name__ == "__main__":
    run(Row("scratch-sdt", "sdt", neuron="single-spike", epochs=50, from_scratch=True))
