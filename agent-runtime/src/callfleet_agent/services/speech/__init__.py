"""Servers of recognition and speech for one engine: ASRService and TTSService of
proto/callfleet/v1, with health, metrics and a readiness that is a real inference.

The engines' libraries are optional (`callfleet-agent[whisper]`, `[vosk]`) and imported when used;
piper is a program of its own.
"""
