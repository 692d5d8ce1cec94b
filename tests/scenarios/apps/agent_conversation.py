"""Every call to the model depends on the one before."""

import os

import openai

client = openai.OpenAI(base_url=f"{os.environ['API_URL']}/v1", api_key="none")


def run(task, steps):
    messages = [{"role": "user", "content": task}]
    for step in range(steps):
        reply = client.chat.completions.create(model="small", messages=messages)
        messages.append({"role": "assistant", "content": reply.choices[0].message.content})
        messages.append({"role": "user", "content": f"result of step {step}"})
    return messages


assert len(run("find it", 10)) == 21
print("ok")
