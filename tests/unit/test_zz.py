import sys, structlog
from infra.logs import configure
def test_a(capsys):
    print(sys.stdout, sys.stdout.closed)
    configure("info", roles=["web"])
    print(sys.stdout.closed)
