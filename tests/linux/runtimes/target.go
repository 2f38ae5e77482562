// SPDX-License-Identifier: Apache-2.0

// A Go program under load that checks itself: sums under locks, numbered messages through a channel
// and a socket, sleeps, memory that the collector must keep, signals that it counts.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	violations, rounds, signals int64
	reportLock                  sync.Mutex
	report                      string
)

func violation(format string, arguments ...interface{}) {
	atomic.AddInt64(&violations, 1)
	reportLock.Lock()
	defer reportLock.Unlock()
	if len(report) < 2000 {
		report += fmt.Sprintf(format, arguments...) + "; "
	}
}

const accounts, total = 16, 16000

var (
	lock    sync.Mutex
	balance [accounts]int
)

func move(seed int) {
	for i := seed; ; i++ {
		lock.Lock()
		balance[i%accounts] -= 3
		balance[(i*7+1)%accounts] += 3
		sum := 0
		for _, one := range balance {
			sum += one
		}
		lock.Unlock()
		if sum != total {
			violation("the sum is %d", sum)
		}
		atomic.AddInt64(&rounds, 1)
		if i%64 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

func digest() {
	text := make([]byte, 4096)
	want := sha256.Sum256(text)
	for {
		if sha256.Sum256(text) != want {
			violation("another digest")
		}
		atomic.AddInt64(&rounds, 1)
		runtime.Gosched()
	}
}

func messages() {
	channel := make(chan int)
	go func() {
		for i := 0; ; i++ {
			channel <- i
			time.Sleep(100 * time.Microsecond)
		}
	}()
	for want := 0; ; want++ {
		if got := <-channel; got != want {
			violation("message %d instead of %d", got, want)
		}
		atomic.AddInt64(&rounds, 1)
	}
}

func socket() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			violation("accept: %v", err)
			return
		}
		buffer := make([]byte, 8)
		for {
			if _, err := connection.Read(buffer); err != nil {
				violation("read: %v", err)
				return
			}
			if _, err := connection.Write(buffer); err != nil {
				violation("write: %v", err)
				return
			}
		}
	}()
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		panic(err)
	}
	buffer := make([]byte, 8)
	for number := uint64(1); ; number++ {
		binary.LittleEndian.PutUint64(buffer, number)
		if _, err := connection.Write(buffer); err != nil {
			violation("write: %v", err)
			return
		}
		if _, err := connection.Read(buffer); err != nil {
			violation("read: %v", err)
			return
		}
		if got := binary.LittleEndian.Uint64(buffer); got != number {
			violation("number %d instead of %d", got, number)
		}
		atomic.AddInt64(&rounds, 1)
		time.Sleep(200 * time.Microsecond)
	}
}

func sleeps() {
	for {
		start := time.Now()
		time.Sleep(5 * time.Millisecond)
		if slept := time.Since(start); slept < 5*time.Millisecond {
			violation("slept %v", slept)
		}
		atomic.AddInt64(&rounds, 1)
	}
}

type node struct {
	next  *node
	value int
}

// Stacks that grow, and a list that is thrown away: the collector stops and moves what there is.
func deep(levels int) int {
	var room [64]int
	room[levels%64] = levels
	if levels == 0 {
		return 0
	}
	return deep(levels-1) + room[levels%64]/levels
}

func memory() {
	for {
		var list *node
		for i := 0; i < 2000; i++ {
			list = &node{list, i}
		}
		sum := 0
		for at := list; at != nil; at = at.next {
			sum += at.value
		}
		if sum != 1999000 {
			violation("the list has %d", sum)
		}
		finished := make(chan int)
		go func() { finished <- deep(500) }()
		if got := <-finished; got != 500 {
			violation("depth %d", got)
		}
		atomic.AddInt64(&rounds, 1)
		time.Sleep(time.Millisecond)
	}
}

func main() {
	for i := range balance {
		balance[i] = total / accounts
	}
	arrived := make(chan os.Signal, 1000)
	signal.Notify(arrived, syscall.SIGUSR1)
	go func() {
		for range arrived {
			atomic.AddInt64(&signals, 1)
		}
	}()
	for i := 0; i < 4; i++ {
		go move(i)
	}
	go digest()
	go messages()
	go socket()
	go sleeps()
	go memory()
	fmt.Printf("{\"pid\":%d}\n", os.Getpid())
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		reportLock.Lock()
		fmt.Printf("{\"violations\":%d,\"rounds\":%d,\"signals\":%d,\"report\":%q}\n",
			atomic.LoadInt64(&violations), atomic.LoadInt64(&rounds), atomic.LoadInt64(&signals), report)
		reportLock.Unlock()
	}
}
