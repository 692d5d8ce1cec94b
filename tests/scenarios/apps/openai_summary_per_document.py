import os

import openai

client = openai.OpenAI(base_url=f"{os.environ['API_URL']}/v1", api_key="none")
documents = [f"document {n} about something of its own" for n in range(12)]
summaries = [
    client.chat.completions.create(  # expect: n_plus_one 12
        model="small", messages=[{"role": "user", "content": f"Summarise: {document}"}]
    )
    .choices[0]
    .message.content
    for document in documents
]
assert len(summaries) == 12
print("ok")
