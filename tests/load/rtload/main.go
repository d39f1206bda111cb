// rtload measures what a Socket.IO server pays for fan-out: server CPU, latency, memory and connects.
//
// One epoll thread owns every subscriber's socket and reads WebSocket frames by hand, so that the client costs about one event
// and one read(2) per wake-up. Publishers are plain blocking keep-alive HTTP/1.1 connections. Standard library only.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	port       = flag.Int("port", 8080, "of the server, on this machine")
	pid        = flag.Int("pid", 0, "of the server")
	namespace  = flag.String("namespace", "/chat", "what clients join")
	tokens     = flag.String("tokens", "", "file with one access token a line; clients take them by turns")
	n          = flag.Int("n", 1000, "clients")
	size       = flag.Int("size", 200, "bytes of a publish")
	mode       = flag.String("mode", "sat", "sat: keep `window` publishes in flight; pace: `rate` publishes a second")
	window     = flag.Int("window", 32, "publishes that have not reached everybody")
	rate       = flag.Float64("rate", 20, "publishes a second")
	publishers = flag.Int("publishers", 8, "connections that publish")
	seconds    = flag.Float64("seconds", 2, "measured")
	warm       = flag.Float64("warm", 1, "seconds before")
	straggle   = flag.Float64("straggle", 5, "seconds to wait for what is missing at the end")
)

const dialers = 32

var began = time.Now()

func now() int64 { return int64(time.Since(began)) }

// A histogram with buckets 1 % wide.
type histogram struct {
	counts [4096]uint64
	n      uint64
}

func (h *histogram) add(ns int64) {
	i := 0
	if ns > 1 {
		i = int(math.Log(float64(ns)) / 0.00995)
	}
	if i >= len(h.counts) {
		i = len(h.counts) - 1
	}
	h.counts[i]++
	h.n++
}

func (h *histogram) milliseconds(quantile float64) float64 {
	var sum uint64
	for i := range h.counts {
		sum += h.counts[i]
		if sum > uint64(quantile*float64(h.n)) {
			return math.Exp((float64(i)+0.5)*0.00995) / 1e6
		}
	}
	return 0
}

type client struct {
	fd     int
	buffer []byte
	filled int
	order  int64 // a hash of the numbers as they came
	got    int64
}

var (
	clients   []*client
	delivered atomic.Int64
	measuring atomic.Bool
	measured  atomic.Int64
	lost      atomic.Int64 // connections
	latency   histogram    // the reader's
	wake      = make(chan struct{}, 1)
	over      atomic.Bool
)

func frame(payload []byte) []byte {
	b := []byte{0x81}
	switch {
	case len(payload) < 126:
		b = append(b, 0x80|byte(len(payload)))
	default:
		b = append(b, 0x80|126, byte(len(payload)>>8), byte(len(payload)))
	}
	return append(append(b, 0, 0, 0, 0), payload...) // a mask of zeros changes nothing
}

// parse takes whole frames out of what was read.
func (c *client) parse(each func(message []byte)) {
	offset := 0
	for {
		b := c.buffer[offset:c.filled]
		if len(b) < 2 {
			break
		}
		length, head := int(b[1]&0x7f), 2
		if length == 126 {
			if len(b) < 4 {
				break
			}
			length, head = int(binary.BigEndian.Uint16(b[2:])), 4
		} else if length == 127 {
			if len(b) < 10 {
				break
			}
			length, head = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		if len(b) < head+length {
			break
		}
		if b[0]&0x0f == 1 {
			each(b[head : head+length])
		}
		offset += head + length
	}
	copy(c.buffer, c.buffer[offset:c.filled])
	c.filled -= offset
	if c.filled == len(c.buffer) {
		c.buffer = append(c.buffer, make([]byte, len(c.buffer))...)
	}
}

// take reads an event: its text has `#number time#` in it.
func (c *client) take(message []byte, at int64) {
	if len(message) == 1 && message[0] == '2' {
		syscall.Write(c.fd, frame([]byte("3")))
		return
	}
	i := bytes.IndexByte(message, '#')
	if i < 0 {
		return
	}
	number, rest, _ := bytes.Cut(message[i+1:], []byte(" "))
	sent, _, _ := bytes.Cut(rest, []byte("#"))
	seq, _ := strconv.ParseInt(string(number), 10, 64)
	moment, _ := strconv.ParseInt(string(sent), 10, 64)
	c.got++
	c.order = c.order*31 + seq
	delivered.Add(1)
	if measuring.Load() {
		measured.Add(1)
		latency.add(at - moment)
	}
}

func dial(token string) (*client, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 20})
	if err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: *port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, err
	}
	request := "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	syscall.Write(fd, []byte(request))
	c := &client{fd: fd, buffer: make([]byte, 16384)}
	for {
		if err := c.read(); err != nil {
			return nil, err
		}
		if i := bytes.Index(c.buffer[:c.filled], []byte("\r\n\r\n")); i >= 0 {
			if !bytes.HasPrefix(c.buffer, []byte("HTTP/1.1 101")) {
				return nil, fmt.Errorf("%q", c.buffer[:c.filled])
			}
			copy(c.buffer, c.buffer[i+4:c.filled])
			c.filled -= i + 4
			break
		}
	}
	if err := c.await("0{"); err != nil {
		return nil, err
	}
	syscall.Write(fd, frame([]byte("40"+*namespace+`,{"token":"`+token+`"}`)))
	if err := c.await("40" + *namespace + ","); err != nil {
		return nil, err
	}
	return c, syscall.SetNonblock(fd, true)
}

func (c *client) read() error {
	for {
		count, err := syscall.Read(c.fd, c.buffer[c.filled:])
		if err == syscall.EINTR {
			continue
		}
		if count <= 0 {
			return fmt.Errorf("read %d %v", count, err)
		}
		c.filled += count
		return nil
	}
}

func (c *client) await(prefix string) error {
	found := false
	for {
		c.parse(func(message []byte) { found = found || bytes.HasPrefix(message, []byte(prefix)) })
		if found {
			return nil
		}
		if err := c.read(); err != nil {
			return err
		}
	}
}

// reader is the thread that reads for everybody.
func reader(epoll int) {
	runtime.LockOSThread()
	events := make([]syscall.EpollEvent, 512)
	for !over.Load() {
		count, _ := syscall.EpollWait(epoll, events, 100)
		for i := 0; i < count; i++ {
			c := clients[events[i].Fd]
			got, err := syscall.Read(c.fd, c.buffer[c.filled:])
			if err == syscall.EAGAIN || err == syscall.EINTR {
				continue
			}
			if got <= 0 {
				lost.Add(1)
				syscall.Close(c.fd)
				continue
			}
			c.filled += got
			at := now()
			c.parse(func(message []byte) { c.take(message, at) })
		}
		if count > 0 {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	}
}

type publisher struct {
	connection net.Conn
	answers    *bufio.Reader
}

func newPublisher() *publisher {
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		panic(err)
	}
	return &publisher{connection, bufio.NewReader(connection)}
}

func (p *publisher) publish(number, at int64) {
	body := fmt.Sprintf("#%d %d#", number, at)
	body += strings.Repeat("x", max(0, *size-len(body)))
	fmt.Fprintf(p.connection, "POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	status, err := p.answers.ReadString('\n')
	if err != nil || !strings.HasPrefix(status, "HTTP/1.1 202") {
		panic(fmt.Sprint("publish: ", status, err))
	}
	length := 0
	for {
		line, err := p.answers.ReadString('\n')
		if err != nil {
			panic(err)
		}
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if strings.EqualFold(name, "content-length") {
			length, _ = strconv.Atoi(strings.TrimSpace(value))
		}
		if name == "" {
			break
		}
	}
	io.CopyN(io.Discard, p.answers, int64(length))
}

func residentKB() (kb float64) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", *pid))
	for _, line := range strings.Split(string(status), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kb, _ = strconv.ParseFloat(fields[1], 64)
		}
	}
	return
}

// serverNS is the processor time of the server's threads: /proc/PID/stat counts in steps of 10 ms, this does not.
func serverNS() (ns float64) {
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", *pid))
	for _, thread := range threads {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", *pid, thread.Name()))
		first, _, _ := strings.Cut(string(b), " ")
		each, _ := strconv.ParseFloat(first, 64)
		ns += each
	}
	return
}

func connect(lines []string) float64 {
	clients = make([]*client, *n)
	start := time.Now()
	var group sync.WaitGroup
	var next atomic.Int64
	for d := 0; d < dialers; d++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := int(next.Add(1)) - 1; i < *n; i = int(next.Add(1)) - 1 {
				c, err := dial(lines[i%len(lines)])
				if err != nil {
					fmt.Fprintln(os.Stderr, "dial:", err)
					os.Exit(1)
				}
				clients[i] = c
			}
		}()
	}
	group.Wait()
	return time.Since(start).Seconds()
}

func main() {
	flag.Parse()
	var limit syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	limit.Cur = limit.Max
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	text, err := os.ReadFile(*tokens)
	if err != nil {
		panic(err)
	}
	idle, before := residentKB(), serverNS()
	connectS := connect(strings.Fields(string(text)))
	connectNS := serverNS() - before
	time.Sleep(500 * time.Millisecond)
	connected := residentKB()

	epoll, _ := syscall.EpollCreate1(0)
	for i, c := range clients {
		syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, c.fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)})
	}
	go reader(epoll)

	var number, sent atomic.Int64
	publish := func(p *publisher, at int64) {
		p.publish(number.Add(1), at)
		sent.Add(1)
	}
	var from, until int64
	var cpu float64
	begin := func() { from, cpu = now(), serverNS(); measuring.Store(true) }
	finish := func() { until, cpu = now(), serverNS()-cpu; measuring.Store(false) }
	if *mode == "pace" {
		p := newPublisher()
		start, every := now(), int64(float64(time.Second) / *rate)
		for i := 0; i < int((*warm+*seconds)**rate); i++ {
			at := start + int64(i+1)*every
			time.Sleep(time.Duration(at - now()))
			if i == int(*warm**rate) {
				begin()
			}
			publish(p, at)
		}
		settle(&sent)
		finish()
	} else {
		saturate(publish, begin, finish)
		settle(&sent)
	}
	over.Store(true)

	missing := sent.Load()*int64(*n) - delivered.Load()
	disorder := 0 // clients that heard it in another order than the first
	for _, c := range clients {
		if c.order != clients[0].order {
			disorder++
		}
	}
	span, count := float64(until-from)/1e9, float64(measured.Load())
	figures := map[string]float64{
		"connects_per_s": float64(*n) / connectS, "connect_us": connectNS / 1e3 / float64(*n),
		"kb_per_connection": (connected - idle) / float64(*n),
		"rate":              count / span, "us_per_delivery": cpu / 1e3 / count, "cores": cpu / 1e9 / span,
		"p50_ms": latency.milliseconds(0.5), "p99_ms": latency.milliseconds(0.99),
		"missing": float64(missing), "disorder": float64(disorder), "lost_connections": float64(lost.Load()),
	}
	out, _ := json.Marshal(figures)
	fmt.Println(string(out))
}

// saturate keeps `window` publishes in flight: the next one leaves when one has reached everybody.
func saturate(publish func(*publisher, int64), begin, finish func()) {
	var done atomic.Bool
	allowed := make(chan struct{}, *window)
	var group sync.WaitGroup
	for i := 0; i < *publishers; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			p := newPublisher()
			for range allowed {
				publish(p, now())
			}
		}()
	}
	go func() {
		for issued := int64(0); !done.Load(); {
			for ; issued < delivered.Load()/int64(*n)+int64(*window) && !done.Load(); issued++ {
				allowed <- struct{}{}
			}
			select {
			case <-wake:
			case <-time.After(20 * time.Millisecond):
			}
		}
		close(allowed)
	}()
	time.Sleep(time.Duration(*warm * float64(time.Second)))
	begin()
	time.Sleep(time.Duration(*seconds * float64(time.Second)))
	finish()
	done.Store(true)
	group.Wait()
}

// settle waits until everybody has everything, for a while.
func settle(sent *atomic.Int64) {
	end := time.Now().Add(time.Duration(*straggle * float64(time.Second)))
	for delivered.Load() < sent.Load()*int64(*n) && time.Now().Before(end) {
		time.Sleep(2 * time.Millisecond)
	}
}
