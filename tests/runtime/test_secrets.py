"""What a trace must not hold: everything that a program says, apart from the shape of it."""

from __future__ import annotations

from pathlib import Path

from runtime.recorded import run


def test_no_value_gets_into_a_trace(tmp_path: Path, http_url: str, redis_url: str, mongo_url: str) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, http.client, os, pathlib, subprocess, urllib.request
        import aiohttp, httpx, openai, pymongo, redis, requests, urllib3
        import agentperf_runtime
        url, secret = os.environ["URL"], os.environ["TOKEN"]
        signed = url.replace("//", f"//{secret}:{secret}@") + f"/items/{secret}?q={secret}&x={secret}#{secret}"
        headers, body = {"Authorization": secret, "X-Key": secret}, {"a": secret, secret: [secret] * 20}
        httpx.post(signed, headers=headers, json=body, cookies={"c": secret})
        requests.post(signed, headers=headers, json=body, auth=(secret, secret))
        urllib3.request("POST", url + f"/a?{secret}=1", headers=headers, json=body)
        urllib.request.urlopen(urllib.request.Request(url + f"/a?q={secret}", secret.encode(), headers)).close()
        connection = http.client.HTTPConnection(url[7:])
        connection.request("POST", f"/a/{secret}", secret, headers)
        connection.getresponse().read()
        connection.close()

        async def main():
            async with aiohttp.ClientSession(headers={"X-Key": secret}) as session:
                async with session.post(signed, json=body) as response:
                    await response.read()
                async with session.get(url + "/a", params={"q": secret}) as response:
                    await response.read()

        asyncio.run(main())
        model = openai.OpenAI(base_url=url + "/v1", api_key=secret)
        said = [{"role": "system", "content": secret}, {"role": "user", "content": [{"type": "text", "text": secret}]}]
        model.chat.completions.create(model="gpt-4o", messages=said, user=secret)
        for chunk in model.chat.completions.create(model="gpt-4o", messages=said, stream=True):
            pass
        model.embeddings.create(model="e", input=[secret, secret])
        cache = redis.from_url(os.environ["REDIS"])
        cache.set(secret, secret)
        cache.hset(secret + "h", mapping={secret: secret})
        cache.mget(secret, secret)
        cache.eval("return ARGV[1]", 1, secret, secret)
        with cache.pipeline() as pipeline:
            pipeline.set(secret, secret).get(secret).execute()
        cache.close()
        with pymongo.MongoClient(os.environ["MONGO"]) as client:
            client.shop.secrets.insert_one({"_id": secret, secret: secret})
            client.shop.secrets.find_one({secret: secret})
            list(client.shop.secrets.aggregate([{"$match": {"a": secret}}]))
        path = pathlib.Path(f"{secret}.txt")
        path.write_text(secret)
        os.environ["OTHER"] = secret
        subprocess.run(["true", secret], env={**os.environ, "A": secret}, input=secret.encode())
        subprocess.run(f"KEY={secret} true {secret}", shell=True)
        with agentperf_runtime.operation("search", "index", key=secret):
            pass
        try:
            httpx.get(f"http://127.0.0.1:9/{secret}")
        except httpx.ConnectError:
            pass
        """,
        "hunter2-argument",
        environment={
            "URL": http_url,
            "REDIS": redis_url,
            "MONGO": mongo_url,
            "TOKEN": "Hunter2SecretHunter2Secret42",
        },
    )
    expected = {"http": 8, "llm": 3, "redis": 5, "mongo": 3, "file": 1, "subprocess": 2, "search": 1}
    # Libraries sleep, and imports run programs too: Python 3.10 asks `ldconfig` for libraries.
    own = [each for each in trace.operations if each.kind in expected]
    own = [each for each in own if each.kind != "subprocess" or each.text == "true"]
    kinds = [each.kind for each in own]
    assert {kind: kinds.count(kind) for kind in expected} == expected
    assert all(each.params for each in own)
    written = "".join(file.read_text() for file in trace.files).lower()
    assert "hunter2" not in written
