"""Load a merged model with plain transformers and let it answer: ``ask.py FOLDER PROMPT …``."""

import sys

from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging


def main() -> None:
    """Print one greedy answer a prompt."""
    logging.disable_progress_bar()
    folder, *prompts = sys.argv[1:]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    for prompt in prompts:
        inputs = tokenizer(prompt, return_tensors="pt")
        output = model.generate(
            **inputs, max_new_tokens=16, do_sample=False, pad_token_id=tokenizer.pad_token_id
        )
        answer = output[0, inputs["input_ids"].shape[1] :]
        print(f"{prompt}{tokenizer.decode(answer, skip_special_tokens=True)}")


if __name__ == "__main__":
    main()
