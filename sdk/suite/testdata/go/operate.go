package main

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"

	rtd "rtd/sdk/go"
)

var errUnknown = errors.New("unknown event")

// operate does what can fail, and returns the response.
func operate(s *rtd.Socket, event string, o order) (response []byte, err error) {
	to := rtd.PID(o.To)
	switch event {
	case "subscribe":
		return nil, rtd.Subscribe(o.Topic)
	case "unsubscribe":
		rtd.Unsubscribe(o.Topic)
	case "disconnect":
		rtd.Disconnect(o.ID)
	case "log":
		rtd.Log(o.Level, o.Text)
	case "hibernate":
		rtd.Hibernate()

	case "track":
		return one("ref")(presence(s, o).Track(o.Key, toJSON(object{"text": o.Text})))
	case "update":
		return one("ref")(presence(s, o).Update(o.Key, toJSON(object{"text": o.Text})))
	case "untrack":
		return nil, presence(s, o).Untrack(o.Key)
	case "track_self":
		return one("ref")(rtd.Presence(s.Topic()).Track(o.Key, toJSON(object{"text": o.Text})))
	case "presences":
		return presence(s, o).List()
	case "presence_count":
		keys, metas, err := presence(s, o).Count()
		return toJSON(object{"keys": keys, "metas": metas}), err
	case "present":
		if o.Topic != "" {
			return nil, presence(s, o).PushTo(s)
		}
		s.PushPresence()

	case "history":
		return past(rtd.History(o.Topic, uint64(o.After), o.Limit))

	case "send_after":
		timer, err := rtd.SendAfter(ms(o.MS), []byte(o.Text))
		return toJSON(object{"timer": timer}), err
	case "cancel":
		left, err := rtd.Cancel(rtd.Ref(o.Timer))
		return toJSON(object{"left": left.Milliseconds()}), err
	case "sleep":
		return nil, rtd.Sleep(ms(o.MS))
	case "send":
		return nil, rtd.Send(to, []byte(o.Text))
	case "cast":
		return nil, rtd.Cast(to, []byte(o.Text))
	case "call":
		return answer(rtd.Call(to, []byte(o.Text), ms(o.MS)))
	case "request":
		ref, err := rtd.Request(to, []byte(o.Text))
		return toJSON(object{"ref": ref}), err
	case "request_notify":
		ref, err := rtd.RequestNotify(to, []byte(o.Text))
		return toJSON(object{"ref": ref}), err
	case "await":
		return answer(rtd.Await(rtd.Ref(o.Ref), ms(o.MS)))

	case "spawn":
		pid, err := rtd.Spawn(o.Module, []byte(o.Args), rtd.SpawnOptions{Under: o.Under, Name: o.Name, Link: o.Link == "yes"})
		return toJSON(object{"pid": pid}), err
	case "children":
		pids, err := rtd.Children(o.Under)
		return toJSON(object{"pids": append([]rtd.PID{}, pids...)}), err
	case "stop_child":
		return nil, rtd.StopChild(to)
	case "monitor":
		ref, err := rtd.Monitor(to)
		return toJSON(object{"ref": ref}), err
	case "demonitor":
		return nil, rtd.Demonitor(rtd.Ref(o.Ref))
	case "link":
		return nil, rtd.Link(to)
	case "unlink":
		return nil, rtd.Unlink(to)
	case "trap_exit":
		rtd.TrapExit(o.On == "yes")
	case "register":
		return nil, rtd.Register(o.Name, to)
	case "unregister":
		return nil, rtd.Unregister(o.Name)
	case "whereis":
		pid, err := rtd.Whereis(o.Name)
		return toJSON(object{"pid": pid}), err
	case "exit":
		return nil, rtd.Exit(to, o.Reason)
	case "process_info":
		return rtd.Info(to)
	default:
		return tell(event, o)
	}
	return nil, nil
}

// past is all of a page.
func past(page rtd.HistoryPage, err error) (response []byte, _ error) {
	messages, at := []string{}, int64(0)
	for _, m := range page.Messages {
		form := ""
		if m.Binary {
			form = "binary "
		}
		messages, at = append(messages, fmt.Sprint(m.Offset, " ", m.Event, " ", form+string(m.Payload))), m.UnixMS
	}
	return toJSON(object{"position": page.Position, "oldest": page.Oldest, "messages": messages, "ms": at}), err
}

// tell says what time it is.
func tell(event string, o order) (response []byte, err error) {
	clock, unixMS := rtd.Clock(o.Zone), int64(o.MS)
	switch event {
	case "clock_now":
		return whole(clock.Now())
	case "clock_at":
		return whole(clock.At(unixMS))
	case "clock_parse":
		return whole(clock.Parse(o.Text, o.Layout))
	case "clock_add":
		return whole(clock.Add(unixMS, rtd.Span{Years: o.Years, Months: o.Months, Days: o.Days}))
	case "clock_format":
		return one("text")(clock.Format(unixMS, o.Layout))
	}
	return behave(event, o)
}

// whole is all of a time.
func whole(t rtd.Time, err error) ([]byte, error) {
	return toJSON(object{
		"unix_ms": t.UnixMS, "zone": t.Zone, "abbreviation": t.Abbreviation, "offset": t.Offset, "dst": t.DST,
		"year": t.Year, "month": t.Month, "day": t.Day, "hour": t.Hour, "minute": t.Minute, "second": t.Second,
		"ms": t.Milliseconds, "weekday": t.Weekday, "yearday": t.YearDay, "skipped": t.Skipped, "twice": t.Twice,
	}), err
}

// behave uses the behaviours.
func behave(event string, o order) (response []byte, err error) {
	to := rtd.PID(o.To)
	switch event {
	case "agent_get":
		return number(get(to, nil))
	case "agent_set":
		return nil, set(to, []byte(strconv.Itoa(o.N)))
	case "agent_add":
		return number(add(to, []byte(strconv.Itoa(o.N))))
	case "agent_crash":
		return number(crash(to, nil))
	case "task_await":
		j, err := job.AsyncNolink([]byte(o.Args), rtd.TaskOptions{})
		if err != nil {
			return nil, err
		}
		return answer(j.Await(0))
	case "task_linked":
		j, err := job.Async([]byte(o.Args))
		if err != nil {
			return nil, err
		}
		return answer(j.Await(0))
	case "task_notify":
		j, err := job.AsyncNolink([]byte(o.Args), rtd.TaskOptions{Under: "jobs", Notify: true})
		return toJSON(object{"ref": j.Ref}), err
	case "task_start":
		pid, err := job.Start([]byte(o.Args), "jobs")
		return toJSON(object{"pid": pid}), err
	case "notify":
		return nil, events.Notify([]byte(o.Text))
	case "sync_notify":
		return nil, events.SyncNotify([]byte(o.Text), 0)
	case "events_call":
		return answer(events.Call(o.ID, []byte(o.Text), 0))
	case "events_add":
		return nil, events.Add(rtd.HandlerSpec{ID: o.ID, Module: cmp.Or(o.Module, "listener"), Args: []byte(o.ID), Restart: o.Restart == "yes"})
	case "events_remove":
		return nil, events.Remove(o.ID)
	case "events_list":
		ids, err := events.Handlers()
		return toJSON(object{"ids": append([]string{}, ids...)}), err
	}
	return nil, fmt.Errorf("%w %s", errUnknown, event)
}

func answer(b []byte, err error) ([]byte, error) { return toJSON(object{"answer": string(b)}), err }

func number(b []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return toJSON(object{"n": toInt(b)}), nil
}

// one makes an object of a result.
func one(key string) func(value string, err error) ([]byte, error) {
	return func(value string, err error) ([]byte, error) { return toJSON(object{key: value}), err }
}
