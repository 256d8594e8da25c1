"""Ask the LiteLLM proxy, as a program would: aliases, a stream, a fallback to another model, a failure."""

import os

import openai

client = openai.OpenAI(base_url="http://127.0.0.1:8938/v1", api_key=os.environ["LITELLM_MASTER_KEY"], max_retries=0)


def ask(model, text, system=None, **more):
    messages = [{"role": "system", "content": system}] if system else []
    try:
        answer = client.chat.completions.create(model=model, messages=[*messages, {"role": "user", "content": text}], **more)
        if more.get("stream"):
            list(answer)
    except openai.APIError as error:
        print(type(error).__name__)


ask("cheap", "Which is the largest planet?", system="You know the planets.", temperature=0)
ask("cheap", "Which is the largest planet?", stream=True)
ask("strong", "Which is the smallest planet?", max_tokens=100)
ask("own", "An unknown model.")
ask("own", "A broken model.")
ask("cheap", "A bad one.")
client.responses.create(model="cheap", input="Which is the largest planet?", instructions="You know the planets.")
