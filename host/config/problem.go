package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// maxProblems bounds the list that one file gets back.
const maxProblems = 30

// Problem is one fault of a file. The error of [Parse] joins one or more of them;
// errors.As finds the first.
type Problem struct {
	File string // as it was given to Parse
	Line int    // from 1
	Key  string // dotted, such as server.listen; "" if the file is no TOML
	What string // what is wrong and what was expected
}

func (p *Problem) Error() string {
	if p.Key == "" {
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.What)
	}
	return fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.Key, p.What)
}

// join orders problems as the file does, so that they are fixed top-down.
func join(problems []*Problem) error {
	slices.SortStableFunc(problems, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
	errs := make([]error, 0, maxProblems+1)
	for i, p := range problems {
		if i == maxProblems {
			errs = append(errs, fmt.Errorf("%s: and more", p.File))
			break
		}
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}
