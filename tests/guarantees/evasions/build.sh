#!/bin/sh
curl -sS -m 5 http://denied.test/
curl -sS -m 5 http://198.51.100.10/
