package config

import (
	"fmt"
	"io"
	"os"
	"reflect"

	"github.com/BurntSushi/toml"
)

// ProjectFile is the name of the file that describes a plugin, in the folder of its
// sources.
const ProjectFile = "rtd.toml"

// Project has the values of rtd.toml: the name of the plugin that the folder's sources
// make, and the capabilities that it asks for. Like [Config] it is plain data, and the
// struct tags are the rule book.
type Project struct {
	// Name is the name of the plugin and of its file. It is the only required key.
	Name string `toml:"name" check:"name"`
	// Version is for people: servers tell versions apart by their content.
	Version string `toml:"version"`
	// Topics are the patterns that the plugin must declare. None: any.
	Topics []string `toml:"topics" check:"topic"`
	// Durable are the patterns of what it must declare as durable, as in [Plugin].Durable. None: any.
	Durable []string `toml:"durable" check:"durable"`
	// History are the patterns of topics that it must declare a history of, as in [Plugin].History. None: any.
	History      []string     `toml:"history" check:"topic"`
	Capabilities Capabilities `toml:"capabilities"`
}

// Capabilities are the rights that a plugin asks for beyond its own topics and processes.
// A server grants them in the [plugin.NAME] table of its config: topics in grants,
// depends in depends, the others in allows.
type Capabilities struct {
	Topics     []string `toml:"topics" check:"topic"`
	Depends    []string `toml:"depends" check:"plugin"`
	Connect    bool     `toml:"connect"`
	Disconnect bool     `toml:"disconnect"`
}

// LoadProject reads and parses the project file at path. If there is none, the error is fs.ErrNotExist.
func LoadProject(path string) (*Project, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("read project: %w", err)
	}
	return ParseProject(path, data)
}

// ParseProject reads data as a project file called file (used in messages only). Its errors are those of [Parse].
func ParseProject(file string, data []byte) (*Project, error) {
	p, err := newParser(file, data)
	if err != nil {
		return nil, err
	}
	project := &Project{Version: "0.1.0", Topics: []string{}, Durable: []string{}, History: []string{}, Capabilities: Capabilities{Topics: []string{}, Depends: []string{}}}
	p.table(nil, p.tree(), reflect.ValueOf(project).Elem())
	if _, ok := p.root["name"]; !ok {
		p.problem(toml.Key{"name"}, `is missing; expected the name of the plugin, such as "room"`)
	}
	if len(p.problems) > 0 {
		return nil, join(p.problems)
	}
	return project, nil
}
