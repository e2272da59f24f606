# Prints what stands at an address, with httpx, in HTTP/1.1 and in HTTP/2.
import sys

import httpx

for http2 in (False, True):
    with httpx.Client(http2=http2, timeout=20) as client:
        answer = client.get(sys.argv[1])
        print(answer.http_version, answer.status_code, answer.text)
