package main

import (
	"encoding/json"
	"errors"

	rtd "rtd/sdk/go"
)

// present is who someone is, and what else is to be known of them.
type present struct {
	Key  string
	Meta json.RawMessage
}

// arrive tracks p and tells its client who is there, as applications do after a join.
func (p present) arrive(s *rtd.Socket) error {
	if _, err := s.Presence().Track(p.Key, p.Meta); err != nil {
		return err
	}
	here, err := s.Presence().List()
	if err != nil {
		return err
	}
	s.Push("presence_state", here)
	return nil
}

// presence takes the orders that are about who is there.
func presence(s *rtd.Socket, event string, payload []byte) error {
	var p present
	if err := json.Unmarshal(payload, &p); err != nil {
		return errors.New(event + ": " + err.Error())
	}
	switch event {
	case "track":
		ref, err := s.Presence().Track(p.Key, p.Meta)
		return answerWith(s, map[string]any{"phx_ref": ref}, err)
	case "update":
		ref, err := s.Presence().Update(p.Key, p.Meta)
		return answerWith(s, map[string]any{"phx_ref": ref}, err)
	case "untrack":
		return answer(s, s.Presence().Untrack(p.Key))
	case "presences":
		here, err := s.Presence().List()
		return answerWith(s, json.RawMessage(here), err)
	case "presence_count":
		keys, metas, err := s.Presence().Count()
		return answerWith(s, map[string]any{"keys": keys, "metas": metas}, err)
	}
	return errors.New("unknown event " + event)
}

// answerWith is answer for orders that have a result.
func answerWith(s *rtd.Socket, result any, err error) error {
	if err != nil {
		return answer(s, err)
	}
	s.Reply("ok", toJSON(result))
	return nil
}
