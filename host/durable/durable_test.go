package durable_test

import (
	"testing"

	"rtd/host/durable"
)

func TestActorsHaveTexts(t *testing.T) {
	for text, want := range map[string]durable.Actor{
		"chat/topic:doc:1":     {Plugin: "chat", Kind: durable.Topic, Name: "doc:1"},
		"chat/process:counter": {Plugin: "chat", Kind: durable.Process, Name: "counter"},
		"chat/topic:a/b":       {Plugin: "chat", Kind: durable.Topic, Name: "a/b"},
	} {
		if got, err := durable.ParseActor(text); err != nil || got != want || got.String() != text {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "chat", "chat/", "chat/doc:1", "chat/topic:", "/topic:doc", "chat/supervisor:x"} {
		if got, err := durable.ParseActor(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}
