package supervisor_test

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"rtd/supervisor"
)

// A send and its handling, between two processes that answer each other: each
// send wakes one that is idle.
func BenchmarkPingPong(b *testing.B) {
	rt := newRuntime(b, supervisor.Options{})
	left := b.N
	done := make(chan struct{})
	var ping, pong *supervisor.Process
	returnTo := func(to **supervisor.Process) supervisor.Actor {
		return &funcs{handle: func(*supervisor.Process, any) error {
			if left--; left == 0 {
				close(done)
				return nil
			}
			if left > 0 {
				return (*to).Send(nil)
			}
			return nil
		}}
	}
	ping = rt.Spawn(supervisor.Spec{Actor: returnTo(&pong)})
	pong = rt.Spawn(supervisor.Spec{Actor: returnTo(&ping)})
	b.ReportAllocs()
	b.ResetTimer()
	ping.Send(nil)
	<-done
	b.StopTimer()
	ping.Stop(nil)
	pong.Stop(nil)
	rt.Wait()
}

// A stream of messages from one process to another, as fast as the other takes
// them.
func BenchmarkStream(b *testing.B) {
	rt := newRuntime(b, supervisor.Options{})
	done := make(chan struct{})
	received := 0
	sink := rt.Spawn(supervisor.Spec{Actor: &funcs{handle: func(*supervisor.Process, any) error {
		if received++; received == b.N {
			close(done)
		}
		return nil
	}}})
	source := rt.Spawn(supervisor.Spec{Actor: &funcs{handle: func(p *supervisor.Process, msg any) error {
		sent := msg.(int)
		for range 64 {
			if sent == b.N {
				return nil
			}
			if sink.Send(nil) != nil {
				break // full: let the sink have its turn
			}
			sent++
		}
		return p.Send(sent)
	}}})
	b.ReportAllocs()
	b.ResetTimer()
	source.Send(0)
	<-done
	b.StopTimer()
	sink.Stop(nil)
	source.Stop(nil)
	rt.Wait()
}

func BenchmarkSpawnAndEnd(b *testing.B) {
	rt := newRuntime(b, supervisor.Options{})
	actor := &funcs{init: func(*supervisor.Process) error { return supervisor.Normal }}
	b.ReportAllocs()
	for b.Loop() {
		<-rt.Spawn(supervisor.Spec{Actor: actor}).Done()
	}
	rt.Wait()
}

// A crash and the next life, through a Dynamic.
func BenchmarkRestart(b *testing.B) {
	crash := errors.New("crash")
	rt := newRuntime(b, supervisor.Options{})
	d := supervisor.NewDynamic(supervisor.DynamicConfig{Intensity: supervisor.Intensity{Max: 1 << 30}})
	root := rt.Spawn(d.Spec())
	reborn := make(chan struct{})
	c := newKid(supervisor.Permanent)
	c.init = func(*supervisor.Process) error { reborn <- struct{}{}; return nil }
	c.handle = func(*supervisor.Process, any) error { return crash }
	d.Start(c, "group")
	<-reborn
	b.ReportAllocs()
	for b.Loop() {
		c.box.Send(nil)
		<-reborn
	}
	root.Stop(nil)
	<-root.Done()
	rt.Wait()
}

// 100,000 processes of one group crash at once: how long until all are back, and
// how late messages are that two of another group send each other meanwhile.
func BenchmarkBurst(b *testing.B) {
	const n = 100_000
	var late []time.Duration
	for b.Loop() {
		b.StopTimer()
		burst := newBurst(b, supervisor.Options{}, n)
		var mu sync.Mutex
		burst.heard = func(d time.Duration) {
			mu.Lock()
			late = append(late, d)
			mu.Unlock()
		}
		burst.talk(100 * time.Microsecond)
		b.StartTimer()
		burst.crashAll()
		b.StopTimer()
		burst.end()
		b.StartTimer()
	}
	slices.Sort(late)
	b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "µs-p99")
	b.ReportMetric(float64(late[len(late)-1].Microseconds()), "µs-max")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/restart")
}

// What a process costs that waits for a message: record, mailbox, and the ring
// that its first message left.
func BenchmarkIdleProcess(b *testing.B) {
	const n = 100_000
	actor := &funcs{}
	for b.Loop() {
		rt := newRuntime(b, supervisor.Options{})
		processes := make([]*supervisor.Process, n)
		before := heap()
		for i := range processes {
			processes[i] = rt.Spawn(supervisor.Spec{Actor: actor})
			processes[i].Send(nil)
		}
		rt.Wait()
		b.ReportMetric(float64(heap()-before)/n, "B/process")
		runtime.KeepAlive(processes)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
