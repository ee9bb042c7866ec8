"""A detector that fuses LiDAR and cameras the way of CMT, with AQR between encoders and decoder.

    augment.py     the space around a frame is turned, scaled, mirrored
    inputs.py      frames become tensors
    pillars.py     points become a map seen from above (BEV)      cameras.py   pictures become maps, one a camera
    geometry.py    metres, pixels, rays                           encoding.py  where a token or query is, as a vector
    weights.py     how much each query trusts each sensor         renderer.py  those weights become maps
    modulator.py   maps scale features, within bounds             aqr.py       the three together
    statistics.py  what AQR did, in numbers
    denoising.py   noised true boxes as additional queries        decoder.py   queries read the maps
    boxes.py       boxes as what a network can regress            matching.py  which query answers for which box
    losses.py      what is minimised                              decoding.py  detections out of queries, without NMS
    detector.py    all of it                                      task.py      how the training loop uses it

CMT: Yan et al., Cross Modal Transformer: Towards Fast and Robust 3D Object Detection, ICCV 2023.
"""
