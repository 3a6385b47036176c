"""The addresses that are never called: one table, for every feature that calls what users name."""

from __future__ import annotations

LITERALS = """
http://127.0.0.1 http://[::1] http://0.0.0.0 http://[::] http://localhost http://127.1
http://2130706433 http://0x7f000001 http://017700000001 http://0177.0.0.1 http://127.0.0.1.
http://localhost. http://LOCALHOST http://api.localhost http://[::ffff:127.0.0.1]
http://[::127.0.0.1] http://[64:ff9b::7f00:1] http://[64:ff9b::10.0.0.1] http://[64:ff9b:1::1]
http://[2002:7f00:1::] http://[2001:0:7f00:1::] http://169.254.169.254 http://[fd00:ec2::254]
http://metadata.google.internal http://100.100.100.200 http://168.63.129.16
http://10.0.0.1 http://10.255.255.255 http://172.16.0.1 http://172.31.255.255 http://192.168.0.1
http://192.168.255.255 http://100.64.0.1 http://100.127.255.255 http://198.18.0.1
http://198.19.255.255 http://192.0.0.1 http://192.0.0.192 http://192.0.2.1 http://198.51.100.7
http://203.0.113.9 http://192.88.99.1 http://224.0.0.1 http://239.255.255.255 http://240.0.0.1
http://255.255.255.255 http://[fc00::1] http://[fdff::1] http://[fe80::1] http://[fe80::1%25eth0]
http://[fec0::1] http://[ff02::1] http://[100::1] http://[5f00::1] http://[3fff::1]
http://[2001:db8::1] http://ok@127.0.0.1 http://ok:pw@93.184.215.14 https://example.com@127.0.0.1
http://@example.com file:///etc/passwd gopher://93.184.215.14 ftp://93.184.215.14 data:text/plain,x
javascript:alert(1) //93.184.215.14 93.184.215.14 http:// http:///path
http://93.184.215.14:22 http://93.184.215.14:25 http://93.184.215.14:5432 http://93.184.215.14:6379
http://93.184.215.14:3306 http://93.184.215.14:0 http://93.184.215.14:99999
http://example.com:22 http://example.com:25 http://example.com:5432 http://example.com:6379
http://１２７.０.０.１ http://127。0。0。1 http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ http://0x7f.1 http://1.2.3 http://[::1
http://example.com/#fragment http://exa\\mple.com http://-.com http://%31%32%37.0.0.1
""".split()
"""Refused by their text alone."""

HOSTS = {
    "one.test": ["127.0.0.1"],
    "six.test": ["::1"],
    "mapped.test": ["::ffff:10.0.0.1"],
    "nat64.test": ["64:ff9b::a9fe:a9fe"],
    "metadata.test": ["169.254.169.254"],
    "mixed.test": ["93.184.215.14", "10.0.0.1"],
    "mixed6.test": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "fe80::1%2"],
}
"""Names that are refused for their addresses, at each delivery."""

ALLOWED = """
https://93.184.215.14 http://93.184.215.14 https://93.184.215.14:8443/a?b=c https://8.8.8.8
https://[2606:4700::1111] https://[64:ff9b::808:808] https://example.com https://example.com.
https://EXAMPLE.com:443/Path https://bücher.example https://my_host.example.com/x
https://172.15.255.255 https://172.32.0.1 https://100.63.255.255 https://100.128.0.1
https://198.17.255.255 https://198.20.0.1 https://223.255.255.255 https://11.0.0.0
https://168.63.129.15 https://168.63.129.17
""".split()
"""The other side of each boundary."""
