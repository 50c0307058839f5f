"""Transformers that hear, from Hugging Face: wav2vec 2.0, its conformer, HuBERT, WavLM, Whisper's encoder and AST."""
