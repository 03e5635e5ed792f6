package rollout

import "rtd/host/app"

// App is the application of a plugin.
func (s *Set) App(name string) *app.App { return s.get(name).App }
