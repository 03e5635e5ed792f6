package config

import (
	"fmt"
	"io"
	"os"
	"reflect"

	"github.com/BurntSushi/toml"
)

// ProjectFile is the name of the file that says what a plugin's sources make.
const ProjectFile = "rtd.toml"

// Project is what rtd.toml says: the name of the plugin that the folder's sources make, and what it asks for.
// Like [Config] it is plain data, and the struct tags are the rule book.
type Project struct {
	// Name is the plugin's, and that of its file. It is the only key that must be there.
	Name string `toml:"name" check:"name"`
	// Version is for people: servers tell versions apart by their content.
	Version string `toml:"version"`
	// Topics are the patterns that the plugin is to declare. None: whatever it declares.
	Topics       []string     `toml:"topics" check:"topic"`
	Capabilities Capabilities `toml:"capabilities"`
}

// Capabilities are what a plugin asks for beyond its own topics and processes. A server grants them in the
// [plugin.NAME] table of its config: topics in grants, depends in depends, the others in allows.
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
	project := &Project{Version: "0.1.0", Topics: []string{}, Capabilities: Capabilities{Topics: []string{}, Depends: []string{}}}
	p.table(nil, p.tree(), reflect.ValueOf(project).Elem())
	if _, ok := p.root["name"]; !ok {
		p.problem(toml.Key{"name"}, `is missing; expected the name of the plugin, such as "room"`)
	}
	if len(p.problems) > 0 {
		return nil, join(p.problems)
	}
	return project, nil
}

// CheckName says whether a plugin may be called so.
func CheckName(name string) error {
	if !tableName.MatchString(name) {
		return fmt.Errorf("is %.80q; expected 1 to 64 of a-z, 0-9, _ and -", name)
	}
	return nil
}
