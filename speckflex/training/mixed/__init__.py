"""Mixed time-step training: stages, temporal transforms, samplers and neurons."""
