package config_test

import (
	"reflect"
	"testing"

	"rtd/host/config"
)

func TestProject(t *testing.T) {
	got, err := config.ParseProject("rtd.toml", []byte(`
name = "room"
version = "1.2.3"
topics = ["room:*"]
durable = ["room:*", "process:counter"]
history = ["room:*"]
[capabilities]
topics = ["audit:*"]
depends = ["accounts"]
connect = true
`))
	want := &config.Project{
		Name: "room", Version: "1.2.3", Topics: []string{"room:*"}, Durable: []string{"room:*", "process:counter"}, History: []string{"room:*"},
		Capabilities: config.Capabilities{Topics: []string{"audit:*"}, Depends: []string{"accounts"}, Connect: true},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseProject = %+v, %v, want %+v", got, err, want)
	}
	if got, err := config.ParseProject("rtd.toml", []byte(`name = "room"`)); err != nil || got.Version == "" || len(got.Topics) > 0 {
		t.Errorf("only a name: %+v, %v", got, err)
	}
}

func TestProjectProblems(t *testing.T) {
	for text, want := range map[string]string{
		``:                                       `rtd.toml:1: name: is missing; expected the name of the plugin, such as "room"`,
		"name = \"Room\"":                        `rtd.toml:1: name: is "Room"; expected 1 to 64 of a-z, 0-9, _ and -`,
		"name = \"a\"\nnmae = \"b\"":             `rtd.toml:2: nmae: unknown key; expected one of name, version, topics, durable, history, capabilities`,
		"name = \"a\"\n[capabilities]\nfile = 1": `rtd.toml:3: capabilities.file: unknown key; expected one of topics, depends, connect, disconnect`,
		"name = ":                                `rtd.toml:1: unexpected EOF; expected value; expected a TOML file`,
	} {
		if _, err := config.ParseProject("rtd.toml", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}
