package supervisor_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"rtd/supervisor"
)

func TestOrderOfEachSenderIsKept(t *testing.T) {
	const senders, each = 8, 500
	type msg struct{ sender, number int }
	rt := newRuntime(t, supervisor.Options{})
	var next [senders]int
	handled := 0
	all := make(chan struct{})
	p := rt.Spawn(supervisor.Spec{Limit: senders * each, Actor: &funcs{handle: func(_ *supervisor.Process, m any) error {
		got := m.(msg)
		if got.number != next[got.sender] {
			t.Errorf("sender %d: message %d instead of %d", got.sender, got.number, next[got.sender])
		}
		next[got.sender]++
		if handled++; handled == senders*each {
			close(all)
		}
		return nil
	}}})
	for s := range senders {
		go func() {
			for i := range each {
				if err := p.Send(msg{s, i}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	<-all
	p.Stop(nil)
	<-p.Done()
	rt.Wait()
}

func TestSendToFullOrEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{})
		gate := make(chan struct{})
		p := rt.Spawn(supervisor.Spec{Limit: 2, Actor: &funcs{init: func(*supervisor.Process) error { <-gate; return nil }}})
		synctest.Wait()
		for range 2 {
			if err := p.Send(nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Send(nil); err != supervisor.ErrFull {
			t.Errorf("third of two: %v", err)
		}
		if err := p.Post(nil); err != nil {
			t.Errorf("Post is unbounded: %v", err)
		}
		close(gate)
		synctest.Wait()
		if err := p.Send(nil); err != nil {
			t.Errorf("there is room again: %v", err)
		}
		p.Stop(nil)
		<-p.Done()
		if err := p.Send(nil); err != supervisor.ErrEnded {
			t.Errorf("after the end: %v", err)
		}
		if err := p.Post(nil); err != supervisor.ErrEnded {
			t.Errorf("Post after the end: %v", err)
		}
	})
}

func TestAdoptedMailboxOutlivesACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{})
		box := supervisor.NewMailbox(0)
		var got []int
		gate := make(chan struct{})
		actor := &funcs{
			init: func(*supervisor.Process) error { <-gate; return nil },
			handle: func(_ *supervisor.Process, msg any) error {
				n := msg.(int)
				got = append(got, n)
				if n%10 == 7 {
					return errCrash
				}
				return nil
			},
		}
		lives := 0
		parent := rt.Spawn(supervisor.Spec{Actor: &funcs{handle: func(p *supervisor.Process, _ any) error {
			lives++ // the first, and one for each Exited
			rt.Spawn(supervisor.Spec{Actor: actor, Mailbox: box, Parent: p})
			return nil
		}}})
		var want []int
		for i := range 50 {
			box.Send(i)
			want = append(want, i)
		}
		parent.Send(nil)
		synctest.Wait()
		for i := 50; i < 100; i++ {
			box.Send(i)
			want = append(want, i)
		}
		close(gate)
		synctest.Wait()
		if !slices.Equal(got, want) {
			t.Errorf("handled %v", got)
		}
		if lives != 11 {
			t.Errorf("%d lives", lives)
		}
		box.Send(100)
		if dropped := box.Close(); box.Len() != 0 || len(dropped) > 1 {
			t.Errorf("Close dropped %v and left %d", dropped, box.Len())
		}
		if err := box.Send(101); err != supervisor.ErrEnded {
			t.Errorf("Send after Close: %v", err)
		}
	})
}

func TestCloseReturnsWhatWaited(t *testing.T) {
	box := supervisor.NewMailbox(0)
	for i := range 40 {
		box.Send(i)
	}
	dropped := box.Close()
	for i, msg := range dropped {
		if msg != i {
			t.Fatalf("dropped %v", dropped)
		}
	}
	if len(dropped) != 40 {
		t.Errorf("dropped %d", len(dropped))
	}
}

// promise is a message that must not be lost without a word.
type promise func()

func (p promise) Dropped() { p() }

func TestDroppedMessagesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{})
		gate := make(chan struct{})
		told := 0
		drops := promise(func() { told++ })
		for _, box := range []*supervisor.Mailbox{nil, supervisor.NewMailbox(0)} {
			p := rt.Spawn(supervisor.Spec{Mailbox: box, Actor: &funcs{handle: func(*supervisor.Process, any) error { <-gate; return errCrash }}})
			for range 5 { // the first is handled
				p.Send(drops)
			}
			synctest.Wait()
			p.SendAfter(0, drops)
			synctest.Wait()
			close(gate)
			<-p.Done()
			synctest.Wait()
			want := 5 // the one of the timer among them
			if box != nil {
				want = 1
				if n := len(box.Close()); n != 4 {
					t.Errorf("Close returned %d messages", n)
				}
			}
			if err := p.Send(drops); err != supervisor.ErrEnded || told != want {
				t.Errorf("after the end: %v, and %d of %d were told", err, told, want)
			}
			gate, told = make(chan struct{}), 0
		}
	})
}

func TestStopOvertakesMessagesAndFirstReasonWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{})
		gate := make(chan struct{})
		var ends []error
		handled := 0
		p := rt.Spawn(supervisor.Spec{Actor: &funcs{
			handle: func(p *supervisor.Process, _ any) error {
				handled++
				<-gate
				<-p.Stopping()
				return nil
			},
			terminate: func(_ *supervisor.Process, reason error) { ends = append(ends, reason) },
		}})
		for range 10 {
			p.Send(nil)
		}
		synctest.Wait()
		if p.Reason() != nil {
			t.Error("a live process has an exit reason")
		}
		first := supervisor.ShutdownBecause("first")
		p.Stop(first)
		p.Stop(errCrash)
		close(gate)
		<-p.Done()
		if handled != 1 || !slices.Equal(ends, []error{first}) || p.Reason() != first {
			t.Errorf("handled %d, terminated with %v, ended with %v", handled, ends, p.Reason())
		}
	})
}

func TestHowAProcessEnds(t *testing.T) {
	boom := func() error { panic("boom") }
	for _, c := range []struct {
		name   string
		actor  funcs
		send   any
		reason string
	}{
		{"crash in Handle", funcs{handle: obey}, errCrash, "crash"},
		{"normal", funcs{handle: obey}, supervisor.Normal, "normal"},
		{"panic in Handle", funcs{handle: obey}, boom, "panic: boom"},
		{"error of Init", funcs{init: func(*supervisor.Process) error { return errCrash }}, nil, "crash"},
		{"panic in Init", funcs{init: func(*supervisor.Process) error { return boom() }}, nil, "panic: boom"},
		{"panic in Terminate", funcs{handle: obey, terminate: func(*supervisor.Process, error) { boom() }}, supervisor.Normal, "panic: boom"},
		{"stop", funcs{handle: func(p *supervisor.Process, _ any) error { p.Stop(nil); return nil }}, 1, "shutdown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt := newRuntime(t, supervisor.Options{})
			exited := make(chan supervisor.Exited, 2)
			parent := rt.Spawn(supervisor.Spec{Actor: &funcs{handle: func(_ *supervisor.Process, msg any) error {
				exited <- msg.(supervisor.Exited)
				return nil
			}}})
			ends := 0
			terminate := c.actor.terminate
			c.actor.terminate = func(p *supervisor.Process, reason error) {
				ends++
				if terminate != nil {
					terminate(p, reason)
				}
			}
			p := rt.Spawn(supervisor.Spec{Actor: &c.actor, Parent: parent})
			p.Send(c.send)
			<-p.Done()
			e := <-exited
			if e.Process != p || e.Reason.Error() != c.reason || p.Reason() != e.Reason {
				t.Errorf("parent was told %v %q, Reason is %v", e.Process.PID(), e.Reason, p.Reason())
			}
			parent.Stop(nil)
			rt.Wait()
			if ends != 1 || len(exited) != 0 {
				t.Errorf("Terminate called %d times, %d further Exited", ends, len(exited))
			}
			if n := rt.Stats().Processes; n != 0 {
				t.Errorf("%d processes left", n)
			}
		})
	}
}

func TestPanicErrorHasTheStack(t *testing.T) {
	rt := newRuntime(t, supervisor.Options{})
	p := rt.Spawn(supervisor.Spec{Actor: &funcs{init: func(*supervisor.Process) error { panic(errCrash) }}})
	<-p.Done()
	var panicked *supervisor.PanicError
	if !errors.As(p.Reason(), &panicked) || panicked.Value != any(errCrash) || len(panicked.Stack) == 0 {
		t.Errorf("reason %v", p.Reason())
	}
}

func TestStopBeforeInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{Schedulers: 1})
		gate := make(chan struct{})
		rt.Spawn(supervisor.Spec{Actor: &funcs{init: func(*supervisor.Process) error { <-gate; return supervisor.Normal }}})
		var started []error
		called := func(*supervisor.Process) error { t.Error("Init was called"); return nil }
		p := rt.Spawn(supervisor.Spec{
			Actor:   &funcs{init: called, terminate: func(p *supervisor.Process, _ error) { called(p) }},
			Started: func(err error) { started = append(started, err) },
		})
		p.Stop(supervisor.Shutdown)
		close(gate)
		<-p.Done()
		synctest.Wait()
		if !slices.Equal(started, []error{supervisor.Shutdown}) {
			t.Errorf("Started got %v", started)
		}
	})
}

// stubborn does not end until its gate opens, and notes Kill.
type stubborn struct {
	funcs
	kills atomic.Int32
}

func (s *stubborn) Kill() { s.kills.Add(1) }

func TestKillDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{Schedulers: 1})
		gate := make(chan struct{})
		box := supervisor.NewMailbox(0)
		var log journal
		old := &stubborn{}
		old.handle = func(p *supervisor.Process, _ any) error {
			<-gate
			if p.Yield() {
				t.Error("Yield does not tell of the kill")
			}
			log.add("old returns")
			return errCrash
		}
		old.terminate = func(_ *supervisor.Process, reason error) { log.add("old terminates: " + reason.Error()) }
		p := rt.Spawn(supervisor.Spec{Actor: old, Mailbox: box})
		p.Send("first")
		synctest.Wait()
		p.Kill()
		p.Kill()
		<-p.Done()
		if p.Reason() != supervisor.Killed || old.kills.Load() != 1 || rt.Stats().Processes != 0 {
			t.Errorf("ended with %v, Kill called %d times", p.Reason(), old.kills.Load())
		}

		// The next life waits for the code of the last, and one that is stopped
		// meanwhile ends at once.
		stopped := rt.Spawn(supervisor.Spec{Actor: &funcs{}, Mailbox: box})
		stopped.Stop(nil)
		<-stopped.Done()
		heir := &stubborn{}
		heir.init = func(*supervisor.Process) error { log.add("next begins"); return nil }
		heir.handle = func(_ *supervisor.Process, msg any) error { log.add("next handles " + msg.(string)); return nil }
		heir.terminate = func(_ *supervisor.Process, reason error) { log.add("next terminates: " + reason.Error()) }
		next := rt.Spawn(supervisor.Spec{Actor: heir, Mailbox: box})
		next.Send("second")
		synctest.Wait()
		log.expect(t)
		close(gate)
		synctest.Wait()
		log.expect(t, "old returns", "old terminates: killed", "next begins", "next handles second")

		next.Kill() // there is no code to cut short
		<-next.Done()
		synctest.Wait()
		log.expect(t, "next terminates: killed")
		if next.Reason() != supervisor.Killed || heir.kills.Load() != 0 || rt.Stats().Processes != 0 {
			t.Errorf("ended with %v, Kill called %d times", next.Reason(), heir.kills.Load())
		}
	})
}

// A mailbox has one owner. To break that is a bug, and says so.
func TestMailboxOfALiveProcess(t *testing.T) {
	rt := newRuntime(t, supervisor.Options{})
	box := supervisor.NewMailbox(0)
	p := rt.Spawn(supervisor.Spec{Actor: &funcs{}, Mailbox: box})
	defer func() {
		if recover() == nil {
			t.Error("two processes share a mailbox")
		}
		p.Stop(nil)
		<-p.Done()
	}()
	rt.Spawn(supervisor.Spec{Actor: &funcs{}, Mailbox: box})
}
