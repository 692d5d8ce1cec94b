import asyncio
import hashlib


def digest(password):
    return hashlib.pbkdf2_hmac("sha256", password, b"salt", 900_000)  # expect: stall


def check(password):
    return digest(password).hex()


async def login(password):
    return check(password)


async def main():
    await asyncio.sleep(0.05)
    assert await login(b"secret")
    await asyncio.sleep(0.05)
    print("ok")


asyncio.run(main())
