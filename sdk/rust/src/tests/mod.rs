mod behaviours;
mod channels;
mod host;
mod processes;
mod vectors;
