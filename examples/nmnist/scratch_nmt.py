"""Single-spike neurons trained by NMT from the first weights."""

from experiment import Row, run

if __name__ == "__main__":
    run(Row("scratch-nmt", "nmt", neuron="single-spike", epochs=50, from_scratch=True))
