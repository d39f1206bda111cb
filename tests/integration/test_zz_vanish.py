import asyncio, json, gc, time, tracemalloc
from uuid import uuid4
import websockets
from tests.integration.nodes import node, token, message, device
from tests.probes import eventually
from infra.kafka_log import KafkaLog
import resource

async def test_v(house):
    async with node(house) as n:
        url = n.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
        user = uuid4()
        users=[uuid4() for _ in range(300)]
        socks=[]
        t=time.time()
        async def one(u):
            s = await websockets.connect(url, compression=None, ping_interval=None)
            await s.recv(); await s.send("40/chat,"+json.dumps({"token": token(house,u)})); await s.recv(); await s.recv()
            socks.append(s)
        for i in range(0,300,50):
            await asyncio.gather(*(one(u) for u in users[i:i+50]))
        print("connected", len(socks), time.time()-t, n.gateway.load)
        log=KafkaLog(house.commands, house.codec)
        t=time.time(); c=time.process_time()
        for k in range(50):
            await log.publish(message(users[0], users[1:], "hi"))
        async def drained(): return n.gateway.load.queued_events
        for s in socks[1:3]:
            for k in range(50): await s.recv()
        print("50x300 wall", time.time()-t, "cpu both sides", time.process_time()-c)
        # cost of _deliver itself
        for s in socks: s.transport.abort()
        async def left(): return n.gateway.load.sessions
        await eventually(left, until=lambda x: x==0)
        eng=n.gateway.asgi
        await asyncio.sleep(1)
        print("links",len(eng._links),"dead",len(eng._deadlines),"env",len(eng.environ),"socks",len(eng.eio.sockets),"tasks",len(eng._tasks), "users", len(n.gateway._of_user), "lines", len(n.gateway._lines), "rooms", eng.manager.rooms, eng.manager.pending_connect, eng.manager.pending_disconnect)
        await asyncio.sleep(4)
        print([t.get_coro().__qualname__ for t in asyncio.all_tasks()][:10], len(asyncio.all_tasks()))
